# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 -- a pattern or a word list is not split in the middle
"""The vocabulary of `key_names`: words that make a name a credential, and words that make it harmless. Lower case, without accents."""

from __future__ import annotations

from typing import Final


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: A name that contains one of these, with separators removed, is a password in some language.
PASSWORDS: Final = (
    "password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "contrasena", "motdepasse", "wachtwoord", "losenord",
    "adgangskode", "salasana", "palavrapasse", "jelszo", "userpass", "dbpass", "htpasswd", "pgpass", "bindpw", "userpw", "пароль",
    "密码", "密碼", "パスワード", "暗証番号", "비밀번호", "parolachiave",
)  # fmt: skip
#: The same for other credentials. They are often written as one word, so they are searched anywhere in a name.
STEMS: Final = (
    "apikey", "accesskey", "privatekey", "secretkey", "signingkey", "encryptionkey", "masterkey", "sshkey", "clientsecret", "appsecret",
    "sharedsecret", "accesstoken", "authtoken", "refreshtoken", "apitoken", "bearertoken", "sessiontoken", "idtoken", "connectionstring",
    "connstring", "connstr", "sessionid", "sessionkey", "jsessionid", "phpsessid", "authorization", "authorisation", "credential",
    "cardnumber", "creditcardno", "ccnumber", "seedphrase", "recoveryphrase", "pincode", "cookie", "bearer", "mnemonic", "kubeconfig",
)  # fmt: skip
#: The last word of a name. The value is masked unless it has no content (`none`, `true`) or is a number.
LAST: Final = _set(
    "pwd pw psw pswd pass secret secrets token auth authn cred creds credentials jwt jws jwe sas otp totp hotp tan mfa 2fa cvv cvc cvv2 cvc2 csc "
    "pin ssn iban pan hmac fernet senha haslo parola sifra parol heslo geheim signingsecret authenticity passkey passkeys verifier "
    "netrc pem pkcs12 pkcs8 keystore otpauth nip clave"
)
#: The last word of a name. The value is masked only if it looks random.
LAST_IF_RANDOM: Final = _set(
    "key keys session sess sid csrf xsrf sig signature signatures nonce salt pepper seed private certificate cert vault bot "
    "serviceaccount account entropy hash digest ticket ciphertext encrypted tokens guid"
) - _set("hash digest account guid encrypted entropy")
#: Before the last word "key": the two together are a credential.
BEFORE_KEY: Final = _set(
    "api access secret private signing signature encryption encrypt decryption master license licence ssh rsa dsa ecdsa ed25519 hmac auth "
    "service admin deploy session account shared webhook fernet aes des client app application root recovery wallet subscription consumer "
    "developer ssl tls pgp gpg jwt crypt crypto cipher kms activation cookie stripe sendgrid mailgun twilio openai anthropic google aws azure "
    "gcp github gitlab datadog newrelic sentry algolia firebase mapbox maps heroku cloudflare slack telegram discord paypal braintree adyen "
    "square shopify hubspot intercom segment mixpanel amplitude pagerduty linear notion airtable openrouter huggingface hf cohere mistral "
    "groq deepseek gemini resend postmark mailchimp sparkpost vonage nexmo plivo authy duo okta auth0 clerk supabase planetscale vault "
    "ingest ingestion instrumentation write integration rest server bot bearer security seal sealing totp otp csrf flask django rails jwe vapid "
    "pre psk host storageaccount token hash salt product registration serial"
) - _set("host hash token product registration serial write")
#: Before the last word "key": the two together sort, look up or route something; never masked.
HARMLESS_BEFORE_KEY: Final = _set(
    "sort cache primary foreign routing partition group order lookup dict lock row object idempotency shard hash unique dedup dedupe map index "
    "public publishable storage file s3 blob bucket image asset media i18n translation message event business metric setting config search "
    "answer issue project composite join house hot mon natural surrogate candidate range cluster redis etcd kv item entity record document "
    "doc field column table param parameter property attribute tag label metadata meta state context locale lang language country region "
    "zone tenant user customer product category feature flag permission role scope resource queue topic stream channel job task worker "
    "schedule workflow step process batch bulk upload download folder directory path url route page tab menu widget theme style color "
    "test fixture sample mock template registry option choice enum type kind class model version release build branch commit merge sync "
    "piano musical arrow return enter escape shift control modifier shortcut access_point ring major minor legend color chart series "
    "json xml yaml csv header cursor pagination next prev previous first last min max parent child node edge graph rate limit throttle counter"
)
#: Before the last word "code".
BEFORE_CODE: Final = _set(
    "otp mfa 2fa tfa totp sms recovery backup security pass pin passcode invite invitation verification verify auth authorization authentication "
    "access login signin confirm confirmation activation reset unlock scratch rescue secret device user onetime time card cvv redemption "
    "redeem entry door gate alarm emergency factor"
)
#: Before the last words "link" and "url": a link that performs an action.
BEFORE_LINK: Final = _set(
    "reset magic invite invitation confirm confirmation activation activate verify verification login signin signed presigned unsubscribe recovery "
    "recover password passwordless onetime webhook hook sas secret private auth2 accept join unlock optin optout approve impersonate callbackhook"
)
#: Before the last words "url" and "uri": the address of a connection, with its credentials.
BEFORE_URL: Final = _set(
    "database db redis broker mongo mongodb postgres postgresql mysql mariadb amqp rabbitmq celery sqlalchemy cache clickhouse elasticsearch "
    "elastic opensearch smtp email ldap ftp sftp backend jdbc odbc connection conn dsn kafka nats memcached couchdb neo4j cassandra influxdb "
    "queue store jobstore datasource replica primary"
)
#: Before the last word "token": it marks a position in a list, or is a term of language models.
HARMLESS_BEFORE_TOKEN: Final = _set(
    "page next previous prev sync continuation continue cursor pagination resume start stop end eos bos pad unk mask cls sep special image "
    "audio text input output prompt first last gas governance erc20 erc721 utility non fungible design lexer syntax parser max min "
    "new unknown string word current"
) - _set("current text image new string word")
LAX_BEFORE_TOKEN: Final = _set("csrf xsrf csrfmiddleware authenticity request form change lock fencing idempotency dedup")
#: Before the last word "pass" or "pin": a ticket, a place, a jewel.
HARMLESS_BEFORE_PASS: Final = _set(
    "boarding season day ski first second third last multi single one two by lift travel rail bus train museum event festival vip gate "
    "forward backward render low high band all quality test num"
)
HARMLESS_BEFORE_PIN: Final = _set(
    "shipping billing postal area delivery gpio map location lapel bowling hair rolling safety push board address zip output input led data "
    "clock reset firing enamel city store pickup"
)
#: The first word of a name that is a flag or a count.
FIRST_HARMLESS: Final = _set(
    "has have had is are was were be needs need needed requires require required use uses using used should can could may must allow allows enable "
    "enabled disable disabled num number n max min total avg mean count show hide ignore skip supports support with without no not "
    "validate check expects expect wants want remember only since until before after"
) - _set("with number validate check remember only")
#: The last word of a name: it describes a credential and is not one itself. Names of numbers are in COUNTING.
DESCRIBES: Final = _set(
    "type types kind kinds name names arn alg algorithm algo method methods provider providers policy policies banner consent preference "
    "preferences strength hint label prefix version status state format field fields column columns param header host port email "
    "emails user username users owner owners scope scopes rule rules regex pattern validator validators manager backend class model module service "
    "path paths file filename dir folder url uri endpoint issuer audience source location region placeholder description title text message "
    "error errors reason warning help locale language symbol economy economics economist economies budget generation event category santa "
    "garden sauce menu agent admirer level mode flow grant request response domain domains samesite secure httponly settings config options "
    "schema template page view form screen dialog button icon image style color group role roles rotation schedule "
    "strategy id ids uuid index position sector ary ism metadata info details summary report"
)
COUNTING: Final = _set(
    "count counts len length lengths size sizes at on date time times timestamp expires expiry expiration expired ttl age days hours minutes "
    "seconds secs ms sec in enabled disabled required valid invalid verified changed updated created issued used unused set missing present "
    "rate ratio limit limits usage remaining left quota cost price balance per max min total avg sum duration interval timeout retries "
    "attempts tries failures number numbers no num score rotated revoked active optional confirmed exists after before until lifetime period "
    "threshold reset resets sent"
)
#: After a stem: still the value itself (`token_b64`, `secret_prod`, `password2`).
VALUE_AFTER: Final = _set(
    "value values val string str b64 base64 hex raw plain plaintext clear cleartext json data code word phrase hash prod production dev "
    "development test staging stage live old new current previous primary secondary backup default main master confirm confirmation repeat again "
    "access key id encrypted body content header answer 0 1 2 3 4 5 6 7 8 9 env env_var payload material"
) - _set("id header test")
#: A value without content, which is not a credential.
EMPTY_VALUES: Final = _set(
    "none null nil undefined true false yes no on off n/a na unset empty missing required optional invalid valid expired revoked disabled "
    "enabled unknown default accepted rejected failed ok error wrong incorrect mismatch basic bearer digest oauth oauth2 ldap saml jwt x509 "
    "token password secret string str text int bool value hidden redacted masked removed filtered [redacted] [filtered] [hidden] <redacted> "
    "<hidden> *** ****** ******** xxx xxxx • •• ••• … any all public private anonymous not_set not-set changeme_not"
)
#: A word of prose after a colon: `password: must be at least 8 characters`.
PROSE: Final = _set(
    "must be is are was were not the a an for to see of and or too at least should cannot can't can does do has have will with this that your "
    "required invalid failed expired missing mismatch from in on by if when please field docs short long only contains already"
)
