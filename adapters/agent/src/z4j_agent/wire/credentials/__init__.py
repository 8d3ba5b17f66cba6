# SPDX-License-Identifier: Apache-2.0
"""How credentials are recognised: by their name (`keys`), by their form (`shapes`, `urls`) and by the text around them
(`assignments`). Pure, standard library only. `z4j_agent.wire.redaction` is the public part."""
