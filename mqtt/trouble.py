# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Why there is no connection: a code with its details, and the sentence for each code.

A trouble is a pair (code, details); the sentence is for the console, the screen has shorter words for some codes
(display/pages.py). The module is loaded to judge a failure and dropped afterwards. One answer has several causes; named
are those that fit the settings. What is unknown becomes one plain sentence, never an exception's name, another library's
text or a bare number.
"""

import errno

# Wi-Fi: details are the network's name.
_WIFI = {
    "wifi_password": "wrong password? Correct CIRCUITPY_WIFI_PASSWORD",
    "wifi_not_found": "not found. Is the name correct, is it 2.4 GHz, is it close enough?",
    "wifi_weak": "the signal is too weak or disturbed; move the board and the access point closer together",
    "wifi_security": "the access point requires another security mode; set it to WPA2, and correct CIRCUITPY_WIFI_PASSWORD",
    "wifi_rejected": "the access point rejects the board. Too many devices, a filter, a wrong password?",
    "wifi_length": "the name or the password has the wrong length; correct CIRCUITPY_WIFI_SSID and CIRCUITPY_WIFI_PASSWORD",
    "wifi_no_answer": "no answer",
    "wifi_failed": "joining failed. Is the access point close enough? Restart it if this persists",
}
# CircuitPython's radio raises two texts, else "Unknown failure" and ESP-IDF's wifi_err_reason_t. 15, 202 and 204 are "4-way
# handshake timeout", "authentication failed" and "handshake timeout": a wrong password (circuitpython#3712, #8059).
_WIFI_REASONS = (
    ((15, 202, 204), "wifi_password"),
    ((2, 3, 5, 6, 7, 8, 9, 203, 208), "wifi_rejected"),
    ((4, 34, 200, 206, 212), "wifi_weak"),
    ((201,), "wifi_not_found"),
    ((10, 11, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 29, 210, 211), "wifi_security"),
)

# What prevented or ended a connection to the broker: details are its host:port, and whether TLS was asked for in vain.
# transport.py and client.py raise their own OSErrors with one of these codes as the second argument.
_CAUSES = {
    "name_ipv6": "IPv6 is not supported; write the broker's IPv4 address, such as 192.168.1.10",
    "name_local": "name not found: the board cannot look up names that end in .local; write the IP address",
    "name_short": "name not found. Is it correct? Does your router know it? An IP address is safest",
    "name_not_found": "name not found. Is it correct? An IP address is safest",
    "closed": "connection closed",
    "refused": "connection refused",
    "no_answer": "no answer",
    "no_address": "no address from the router (DHCP)",
    "unreachable": "not reachable from this network",
    "send_blocked": "the broker does not read",
    "no_memory": "no memory or no socket is free; the next attempt follows",
    "not_mqtt": "that port does not use MQTT; is MQTT_PORT correct?",
    "speaks_tls": "that port uses TLS; set MQTT_TLS = true, or another MQTT_PORT",
    "web_server": "that port is a web server; is MQTT_PORT correct?",
    "ssh_server": "that port is an SSH server; is MQTT_PORT correct?",
    "not_mqtt_3_1_1": "its response is not MQTT 3.1.1. Does it support only MQTT 5? Is MQTT_PORT correct?",
    "closed_tls_port": "connection closed. That is a TLS port: set MQTT_TLS = true, or MQTT_PORT = 1883",
    "closed_login": "connection closed. MQTT_USERNAME or MQTT_PASSWORD wrong? Is MQTT_PORT a TLS port? Does it allow a "
    "retained last will, and QoS 1?",
    "closed_no_login": "connection closed. MQTT_USERNAME and MQTT_PASSWORD required? Is MQTT_PORT a TLS port? Does it allow a "
    "retained last will, and QoS 1?",
    "tls_failed": "the TLS handshake failed. Does it require a client certificate (MQTT_CERT_FILE), or refuse yours",
    "closed_with_tls": "connection closed. Does it require a client certificate (MQTT_CERT_FILE), or refuse yours",
    "own_certificate": "it requires a client certificate; write MQTT_CERT_FILE and MQTT_KEY_FILE",
    "own_certificate_wrong": "the chip cannot use MQTT_CERT_FILE or MQTT_KEY_FILE; write them in PEM form, without a password",
    "failed": "the connection failed",
}

# A certificate that is not trusted: details are the broker's host:port. A PC's library names the reason, the chip's has one
# number for all.
_CERTIFICATE = {
    "certificate_host": "the certificate is for another host name (Hostname mismatch)",
    "certificate_address": "the certificate is for another IP address (IP address mismatch)",
    "certificate_expired": "its certificate has expired",
    "certificate_self_signed": "its certificate is self-signed",
    "certificate_unknown": "its certificate is signed by an unknown authority, or for another name",
}
_CERTIFICATE_TEXTS = (
    ("hostname mismatch", "certificate_host"),
    ("ip address mismatch", "certificate_address"),
    ("expired", "certificate_expired"),
    ("self-signed", "certificate_self_signed"),
    ("self signed", "certificate_self_signed"),
)

# All others: {} are the details.
_SENTENCES = {
    "joining": "Joining the Wi-Fi",
    "connecting": "Connecting to the broker",
    "broker_not_set": "MQTT_BROKER is not set",
    "tls_not_possible": "MQTT_TLS is not possible",
    "login_wrong": "Broker {} refuses MQTT_USERNAME or MQTT_PASSWORD",
    "login_missing": "Broker {} requires MQTT_USERNAME and MQTT_PASSWORD, which are not set",
    "rejected_protocol": "Broker {} refuses MQTT 3.1.1, perhaps it supports only MQTT 5; enable 3.1.1 there, or correct "
    "MQTT_PORT",
    "rejected_client_id": "Broker {} refuses the client id {}; set another {}",
    "rejected_not_ready": "Broker {} refuses: it is not available; the next attempt follows",
    "rejected_unknown": "Broker {} refuses with a code that MQTT 3.1.1 does not define. Does it support only MQTT 5? Is "
    "MQTT_PORT correct?",
    "short_sessions": "Broker {} ends every connection, {} in a row: the last message was {} bytes on {}. Is there a second "
    "bridge with the client id {}? Give one of them another {}",
    "short_sessions_same_message": "Broker {} ends every connection, {} in a row: the last message was {} bytes on {}, as "
    "before. Does it refuse that one by its size, its access rules or because it is retained? Is there a second bridge with "
    "the client id {}? Give one of them another {}",
}

# lwIP's numbers on the chip are newlib's (116 is ETIMEDOUT there), CircuitPython's own and a PC's are Linux's.
_CLOSED = (errno.ECONNRESET, errno.ENOTCONN, 32, 103, 108, 128)
_SILENT = (errno.ETIMEDOUT, 110, 116, errno.EAGAIN)
_UNREACHABLE = (errno.EHOSTUNREACH, 100, 101, 112, 113, 114, 115, 117, 118)
_NO_MEMORY = (errno.ENOMEM, 23, 24, 105)
_TLS_PORTS = (8883, 8884, 443)


def sentence(code, details):
    """A trouble as one sentence with its remedy."""
    if code in _WIFI:
        return f'No Wi-Fi "{details[0]}": {_WIFI[code]}'
    if code in _CERTIFICATE:
        remedy = "check MQTT_CA_FILE, the name in MQTT_BROKER and the broker's clock"
        return f"Broker {details[0]} is not trusted: {_CERTIFICATE[code]}; {remedy}"
    if code in _CAUSES:
        place, with_tls = details
        if with_tls and not code.startswith("own_"):
            return f"No broker {place} with TLS: {_CAUSES[code]}; is MQTT_PORT its TLS port?"
        return f"No broker {place}: {_CAUSES[code]}"
    return _SENTENCES[code].format(*details)


def wifi_trouble(ssid, error):
    """The trouble when the network `ssid` was not joined because of `error`."""
    return _wifi_code(error), (ssid,)


def _wifi_code(error):
    text = str(error.args[0]) if error.args else ""
    if "uthentication" in text:
        return "wifi_password"
    if "No network" in text:
        return "wifi_not_found"
    if "length" in text:
        return "wifi_length"
    number = text.split(" ")[-1]
    if "failure" in text and number.isdigit():
        for numbers, code in _WIFI_REASONS:
            if int(number) in numbers:
                return code
    return "wifi_no_answer" if getattr(error, "errno", None) in _SILENT else "wifi_failed"


def broker_trouble(settings, broker, error, is_open, rejected, client_id):
    """The trouble when the `broker` (address, port) was not reached or is lost because of `error`.

    `is_open`: it had accepted the connection; `rejected`: the return code in its CONNACK, or None.
    """
    host, port = broker
    place = f"{host}:{port}"
    if rejected is not None:
        code = _rejection(rejected, settings)
        return code, (place, client_id, _maker(settings)) if code == "rejected_client_id" else (place,)
    number = error.args[0] if error.args else None
    if is_open:
        return _cause(error, number), (place, False)
    if settings.MQTT_TLS and number in ("invalid key", "invalid cert"):  # CircuitPython's, of ours
        return "own_certificate_wrong", (place, False)
    if settings.MQTT_TLS and "certificate required" in str(error).lower():
        return "own_certificate", (place, False)
    if settings.MQTT_TLS and _is_certificate(error, number):
        return _certificate_code(error), (place,)
    if type(error).__name__ == "gaierror" or number == -2:
        return _name_code(host), (place, False)
    if ":" in host:
        return "name_ipv6", (place, False)
    if settings.MQTT_TLS:
        code = _cause(error, number)
        return "closed_with_tls" if code == "closed" else code, (place, True)
    if number in _CLOSED:
        return _closed_code(settings, port), (place, False)
    if isinstance(error, AssertionError):
        return "not_mqtt_3_1_1", (place, False)
    return _cause(error, number), (place, False)


def _maker(settings):
    """The setting that tells the client ids of two bridges apart."""
    own = settings.MQTT_CLIENT_ID
    return "MQTT_CLIENT_ID" if own and "{id}" not in own else "BRIDGE_ID"


def short_sessions_trouble(settings, place, times, topic, size, is_same_message, client_id):
    """The trouble when connections end soon, `times` in a row. `topic` with `size` bytes: what was published last."""
    details = (place, times, size, topic, client_id, _maker(settings))
    return "short_sessions_same_message" if is_same_message else "short_sessions", details


def is_closing(error):
    """Whether the other side has ended the connection, rather than the network."""
    return bool(error.args) and error.args[0] in _CLOSED


def _name_code(name):
    if ":" in name:
        return "name_ipv6"
    if name.endswith(".local"):
        return "name_local"
    return "name_not_found" if "." in name else "name_short"


def _rejection(number, settings):
    """The code for a CONNACK's return code of MQTT 3.1.1 (section 3.2.2.3) or reason code of MQTT 5."""
    if number in (4, 5, 134, 135):
        return "login_wrong" if settings.MQTT_USERNAME else "login_missing"
    if number in (1, 132):
        return "rejected_protocol"
    if number in (2, 133):
        return "rejected_client_id"
    return "rejected_not_ready" if number in (3, 136, 137) else "rejected_unknown"


def _closed_code(settings, port):
    """Why a broker closes the connection before its CONNACK, the likeliest reason."""
    if port in _TLS_PORTS:
        return "closed_tls_port"
    return "closed_login" if settings.MQTT_USERNAME else "closed_no_login"


def _cause(error, number):
    if len(error.args) > 1 and error.args[1] in _CAUSES:
        return error.args[1]
    if number in _CLOSED:
        return "closed"
    if number == errno.ECONNREFUSED:
        return "refused"
    if number in _SILENT or (isinstance(number, str) and number.startswith("No data received")):
        return "no_answer"
    if number in _UNREACHABLE:
        return "unreachable"
    if isinstance(error, MemoryError) or number in _NO_MEMORY or "socket" in str(number):
        return "no_memory"
    if "SSL" in type(error).__name__ or str(number)[:1] == "-":
        return "tls_failed"
    return "failed"


def _is_certificate(error, number):
    """Whether the TLS library refused the other side. mbedtls: -0x2700 is X509_CERT_VERIFY_FAILED; OpenSSL has a text."""
    return number in (-0x2700, 0x2700) or "certificate" in str(error).lower()


def _certificate_code(error):
    text = str(error).lower()
    for part, code in _CERTIFICATE_TEXTS:
        if part in text:
            return code
    return "certificate_unknown"
