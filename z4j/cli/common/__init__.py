# SPDX-License-Identifier: AGPL-3.0-or-later
"""What commands share: the API client, direct access to the data folder, output, secrets."""
