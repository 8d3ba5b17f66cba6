# SPDX-License-Identifier: Apache-2.0
from app import add

print(add(2, 3).get(blocking=True, timeout=20))
