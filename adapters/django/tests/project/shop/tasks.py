# SPDX-License-Identifier: Apache-2.0
from celery import shared_task


@shared_task
def ship(number: int) -> int:
    return number
