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
o = {
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








# What prevented or ended a connection to the broker: details are its host:port, and whether TLS was asked for in vain.
# transport.py and client.py raise their own OSErrors with one of these codes as the second argument.
i = {
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
    "tls_failed": "the TLS handshake failed",
    "failed": "the connection failed",
}

# A certificate that is not trusted: details are the broker's host:port. A PC's library names the reason, the chip's has one
# number for all.
j = {
    "certificate_host": "the certificate is for another host name (Hostname mismatch)",
    "certificate_address": "the certificate is for another IP address (IP address mismatch)",
    "certificate_expired": "its certificate has expired",
    "certificate_self_signed": "its certificate is self-signed",
    "certificate_unknown": "its certificate is signed by an unknown authority, or for another name",
}








# All others: {} are the details.
l = {
    "joining": "Joining the Wi-Fi",
    "connecting": "Connecting to the broker",
    "broker_not_set": "MQTT_BROKER is not set",
    "tls_not_possible": "MQTT_TLS is not possible",
    "login_wrong": "Broker {} refuses MQTT_USERNAME or MQTT_PASSWORD",
    "login_missing": "Broker {} requires MQTT_USERNAME and MQTT_PASSWORD, which are not set",
    "rejected_protocol": "Broker {} refuses MQTT 3.1.1, perhaps it supports only MQTT 5; enable 3.1.1 there, or correct "
    "MQTT_PORT",
    "rejected_client_id": "Broker {} refuses the client id {}; set another BRIDGE_ID",
    "rejected_not_ready": "Broker {} refuses: it is not available; the next attempt follows",
    "rejected_unknown": "Broker {} refuses with a code that MQTT 3.1.1 does not define. Does it support only MQTT 5? Is "
    "MQTT_PORT correct?",
    "short_sessions": "Broker {} ends every connection, {} in a row: the last message was {} bytes on {}. Is there a second "
    "bridge with the client id {}? Give one of them another BRIDGE_ID",
    "short_sessions_same_message": "Broker {} ends every connection, {} in a row: the last message was {} bytes on {}, as "
    "before. Does it refuse that one by its size, its access rules or because it is retained? Is there a second bridge with "
    "the client id {}? Give one of them another BRIDGE_ID",
}

# lwIP's numbers on the chip are newlib's (116 is ETIMEDOUT there), CircuitPython's own and a PC's are Linux's.
b = (errno.ECONNRESET, errno.ENOTCONN, 32, 103, 108, 128)
m = (errno.ETIMEDOUT, 110, 116, errno.EAGAIN)
n = (errno.EHOSTUNREACH, 100, 101, 112, 113, 114, 115, 117, 118)
k = (errno.ENOMEM, 23, 24, 105)



def a(a, b):
    """A trouble as one sentence with its remedy."""
    if a in o:
        return f'No Wi-Fi "{b[0]}": {o[a]}'
    if a in j:
        c = "check MQTT_CA_FILE, the name in MQTT_BROKER and the broker's clock"
        return f"Broker {b[0]} is not trusted: {j[a]}; {c}"
    if a in i:
        d, e = b
        if e:
            return f"No broker {d} with TLS: {i[a]}; is MQTT_PORT its TLS port?"
        return f"No broker {d}: {i[a]}"
    return l[a].format(*b)


def t(a, b):
    """The trouble when the network `ssid` was not joined because of `error`."""
    return p(b), (a,)


def p(a):
    b = str(a.args[0]) if a.args else ""
    if "uthentication" in b:
        return "wifi_password"
    if "No network" in b:
        return "wifi_not_found"
    if "length" in b:
        return "wifi_length"
    c = b.split(" ")[-1]
    if "failure" in b and c.isdigit():
        for d, e in (((15, 202, 204), 'wifi_password'), ((2, 3, 5, 6, 7, 8, 9, 203, 208), 'wifi_rejected'), ((4, 34, 200, 206, 212), 'wifi_weak'), ((201,), 'wifi_not_found'), ((10, 11, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 29, 210, 211), 'wifi_security')):
            if int(c) in d:
                return e
    return "wifi_no_answer" if getattr(a, "errno", None) in m else "wifi_failed"


def q(a, i, j, k, client_id):
    """The trouble when the broker was not reached or is lost because of `error`.

    `is_open`: it had accepted the connection; `rejected`: the return code in its CONNACK, or None.
    """
    l = f"{a.MQTT_BROKER}:{a.MQTT_PORT}"
    if k is not None:
        m = h(k, a)
        return m, (l, client_id) if m == "rejected_client_id" else (l,)
    n = i.args[0] if i.args else None
    if j:
        return g(i, n), (l, False)
    if a.MQTT_TLS and e(i, n):
        return c(i), (l,)
    if type(i).__name__ == "gaierror" or n == -2:
        return f(a.MQTT_BROKER), (l, False)
    if ":" in a.MQTT_BROKER:
        return "name_ipv6", (l, False)
    if a.MQTT_TLS:
        return g(i, n), (l, True)
    if n in b:
        return d(a), (l, False)
    if isinstance(i, AssertionError):
        return "not_mqtt_3_1_1", (l, False)
    return g(i, n), (l, False)


def s(a, b, c, d, e, client_id):
    """The trouble when connections end soon, `times` in a row. `topic` with `size` bytes: what was published last."""
    return "short_sessions_same_message" if e else "short_sessions", (a, b, d, c, client_id)


def r(a):
    """Whether the other side has ended the connection, rather than the network."""
    return bool(a.args) and a.args[0] in b


def f(name):
    if ":" in name:
        return "name_ipv6"
    if name.endswith(".local"):
        return "name_local"
    return "name_not_found" if "." in name else "name_short"


def h(a, b):
    """The code for a CONNACK's return code of MQTT 3.1.1 (section 3.2.2.3) or reason code of MQTT 5."""
    if a in (4, 5, 134, 135):
        return "login_wrong" if b.MQTT_USERNAME else "login_missing"
    if a in (1, 132):
        return "rejected_protocol"
    if a in (2, 133):
        return "rejected_client_id"
    return "rejected_not_ready" if a in (3, 136, 137) else "rejected_unknown"


def d(a):
    """Why a broker closes the connection before its CONNACK, the likeliest reason."""
    if a.MQTT_PORT in (8883, 8884, 443):
        return "closed_tls_port"
    return "closed_login" if a.MQTT_USERNAME else "closed_no_login"


def g(a, c):
    if len(a.args) > 1 and a.args[1] in i:
        return a.args[1]
    if c in b:
        return "closed"
    if c == errno.ECONNREFUSED:
        return "refused"
    if c in m or (isinstance(c, str) and c.startswith("No data received")):
        return "no_answer"
    if c in n:
        return "unreachable"
    if isinstance(a, MemoryError) or c in k or "socket" in str(c):
        return "no_memory"
    if "SSL" in type(a).__name__ or str(c)[:1] == "-":
        return "tls_failed"
    return "failed"


def e(a, b):
    """Whether the TLS library refused the other side. mbedtls: -0x2700 is X509_CERT_VERIFY_FAILED; OpenSSL has a text."""
    return b in (-0x2700, 0x2700) or "certificate" in str(a).lower()


def c(a):
    b = str(a).lower()
    for c, d in (('hostname mismatch', 'certificate_host'), ('ip address mismatch', 'certificate_address'), ('expired', 'certificate_expired'), ('self-signed', 'certificate_self_signed'), ('self signed', 'certificate_self_signed')):
        if c in b:
            return d
    return "certificate_unknown"
