# SPDX-License-Identifier: Apache-2.0
"""How credentials are recognised: by their name (`key_names`), by their form (`token_formats`, `urls`) and by the text around them
(`assignments`). Pure, standard library only. `z4j_agent.wire.redaction` is the public part."""
