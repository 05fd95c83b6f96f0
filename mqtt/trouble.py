"""Why there is no link, in words: what the radio, lwIP, mbedtls, ConnectionManager and MiniMQTT raise, for people.

One answer has several causes; named are those that fit what is configured. What is unknown becomes one plain sentence, never an
exception's name, another library's text or a bare number.
"""

import errno

# What CircuitPython's radio says: two texts, else "Unknown failure" and ESP-IDF's wifi_err_reason_t.
_PASSWORD = "wrong password? Correct CIRCUITPY_WIFI_PASSWORD"
_NOT_FOUND = "not found. Is the name right, is it 2.4 GHz, is it near enough?"
_TOO_WEAK = "the signal is too weak or disturbed; move the board or the access point nearer"
_SECURITY = "the access point wants another kind of security; set it to WPA2, and correct CIRCUITPY_WIFI_PASSWORD"
_TURNED_AWAY = "the access point turns the board away. Too many devices, a filter, a wrong password?"
_FAILED = "joining failed. Is the access point near enough? Restart it if this stays"
_RADIO = (
    ((15, 202, 204), _PASSWORD),
    ((2, 3, 5, 6, 7, 8, 9, 203, 208), _TURNED_AWAY),
    ((4, 34, 200, 206, 212), _TOO_WEAK),
    ((201,), _NOT_FOUND),
    ((10, 11, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 29, 210, 211), _SECURITY),
)

# lwIP's numbers on the chip are newlib's (116 is ETIMEDOUT there), CircuitPython's own and a PC's are Linux's.
_CLOSED = (errno.ECONNRESET, errno.ENOTCONN, 32, 103, 108, 128)
_SILENT = (errno.ETIMEDOUT, 110, 116, errno.EAGAIN)
_NO_WAY = (errno.EHOSTUNREACH, 100, 101, 112, 113, 114, 115, 117, 118)
_NO_ROOM = (errno.ENOMEM, 23, 24, 105)
_TLS_PORTS = (8883, 8884, 443)


def no_wifi(ssid, error):
    """The sentence on a Wi-Fi that was not joined."""
    return f'No Wi-Fi "{ssid}": {_radio_words(error)}'


def _radio_words(error):
    text = str(error.args[0]) if error.args else ""
    if "uthentication" in text:
        return _PASSWORD
    if "No network" in text:
        return _NOT_FOUND
    if "length" in text:
        return "name or password has a wrong length; correct CIRCUITPY_WIFI_SSID and CIRCUITPY_WIFI_PASSWORD"
    number = text.split(" ")[-1]
    if "failure" in text and number.isdigit():
        for numbers, words in _RADIO:
            if int(number) in numbers:
                return words
    if getattr(error, "errno", None) in _SILENT:
        return "no answer"
    return _FAILED


def no_broker(settings, error, is_open, rejected, identity):
    """The sentence on a broker that was not reached or is lost.

    `is_open`: it had let us in; `rejected`: the number in its CONNACK, or None; `identity`: our client id.
    """
    place = f"{settings.MQTT_BROKER}:{settings.MQTT_PORT}"
    if rejected in (4, 5, 134, 135):
        if settings.MQTT_USERNAME:
            return f"Broker {place} refuses MQTT_USERNAME or MQTT_PASSWORD"
        return f"Broker {place} refuses: it wants MQTT_USERNAME and MQTT_PASSWORD, which are not set"
    if rejected is not None:
        return f"Broker {place} refuses: {_rejection(rejected, identity)}"
    number = error.args[0] if error.args else None
    if is_open:
        return f"No broker {place}: {_what(error, number)}"
    if settings.MQTT_TLS and _is_certificate(error, number):
        return f"Broker {place} is not trusted: {_distrust(error)}; check MQTT_CA_FILE, MQTT_BROKER's name and its clock"
    if type(error).__name__ == "gaierror" or number == -2:
        return f"No broker {place}: {_no_name(settings.MQTT_BROKER)}"
    if ":" in settings.MQTT_BROKER:
        return f"No broker {place}: {_NO_IPV6}"
    if settings.MQTT_TLS:
        return f"No broker {place} that speaks TLS: {_what(error, number)}; is MQTT_PORT its port for TLS?"
    if number in _CLOSED:
        return f"No broker {place}: connection closed. {_causes_of_closing(settings)}"
    if isinstance(error, AssertionError):
        return f"No broker {place}: its answer is not that of MQTT 3.1.1. Does it speak only MQTT 5? Is MQTT_PORT right?"
    return f"No broker {place}: {_what(error, number)}"


def keeps_ending(place, times, topic, size, is_suspect, identity):
    """The sentence on sessions that end again and again. `topic` with `size` bytes: what was published last."""
    twin = f"Is there a second bridge with the client id {identity}? Give one of them another BRIDGE_ID"
    last = f"the last message was {size} bytes on {topic}"
    if is_suspect:
        return (
            f"Broker {place} ends every connection, {times} in a row: {last}, as before. Does it refuse that one by its size, "
            f"its access rules or because it is retained? {twin}"
        )
    return f"Broker {place} ends every connection, {times} in a row: {last}. {twin}"


def is_closing(error):
    """Whether the other side has ended the connection, rather than the network."""
    return bool(error.args) and error.args[0] in _CLOSED


_NO_IPV6 = "an IPv6 address does not do here; write the broker's IPv4 address, as 192.168.1.10"


def _no_name(name):
    if ":" in name:
        return _NO_IPV6
    if name.endswith(".local"):
        return "name not found: the board cannot look up names that end in .local; write the IP address"
    if "." not in name:
        return "name not found. Is it right? Does your router know it? An IP address is surest"
    return "name not found, is it right? An IP address is surest"


def _rejection(number, identity):
    if number in (1, 132):
        return "it does not speak MQTT 3.1.1, perhaps only MQTT 5; allow that there, or correct MQTT_PORT"
    if number in (2, 133):
        return f"it does not like the client id {identity}; set another BRIDGE_ID"
    if number in (3, 136, 137):
        return "it is not ready; it is asked again"
    return "it gives a reason that MQTT 3.1.1 does not know. Does it speak only MQTT 5? Is MQTT_PORT right?"


def _causes_of_closing(settings):
    """Why a broker closes before it has said a word, the likeliest first."""
    if settings.MQTT_PORT in _TLS_PORTS:
        return f"Port {settings.MQTT_PORT} is for TLS: set MQTT_TLS = true, or MQTT_PORT = 1883"
    login = "MQTT_USERNAME or MQTT_PASSWORD wrong" if settings.MQTT_USERNAME else "MQTT_USERNAME and MQTT_PASSWORD wanted"
    return f"{login}? Is MQTT_PORT one for TLS? Does it allow a retained last will, and QoS 1?"


def _what(error, number):
    """What happened, as the end of a sentence."""
    if number in _CLOSED:
        return "connection closed"
    if number == errno.ECONNREFUSED:
        return "connection refused"
    if number in _SILENT or (isinstance(number, str) and number.startswith("No data received")):
        return "no answer"
    if number in _NO_WAY:
        return str(error.args[1]) if len(error.args) > 1 and _is_ours(error.args[1]) else "not reachable from this network"
    if isinstance(error, MemoryError) or number in _NO_ROOM or "socket" in str(number):
        return "no memory or no socket is free; it is tried again"
    if number == errno.EBADF and len(error.args) > 1 and "answers there" in str(error.args[1]):
        return error.args[1]
    if "SSL" in type(error).__name__ or str(number)[:1] == "-":
        return "no understanding on TLS"
    return "the connection failed"


def _is_ours(text):
    return text in ("no answer", "no address from the router (DHCP)", "the broker takes nothing")


def _is_certificate(error, number):
    """Whether the TLS library refused the other side. mbedtls: -0x2700 is X509_CERT_VERIFY_FAILED; on a PC OpenSSL says so."""
    return number in (-0x2700, 0x2700) or "certificate" in str(error).lower()


def _distrust(error):
    """A PC's library names the reason, the chip's has one number for all."""
    text = str(error).lower()
    for said, meant in (
        ("hostname mismatch", "the certificate is for another host name (Hostname mismatch)"),
        ("ip address mismatch", "the certificate is for another IP address (IP address mismatch)"),
        ("expired", "its certificate has expired"),
        ("self-signed", "its certificate is self-signed"),
        ("self signed", "its certificate is self-signed"),
    ):
        if said in text:
            return meant
    return "its certificate is signed by nobody we know, or for another name"
