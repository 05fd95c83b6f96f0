# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Publisher and client of a bridge that sleeps (app/sleep.py). Loaded only with SLEEP_MINUTES."""

from daly.core import a


from mqtt.core import u, v
from mqtt.core import z

  # the status of a bridge, and of its batteries that are online, between two wakes



class c(z):
    """A Publisher that knows when all has been published, and can end with that. The arguments are those of a Publisher.

    `is_announced`: all discovery messages have been sent in this connection.
    """

    def __init__(a, *b):
        super().__init__(*b)
        a.q = True

    def c(a, b):
        """A new connection: publish everything again."""
        super().c(b)
        a.L = None  # what is still to be published before the chip sleeps; None: it does not
        a.H = a.ah = a.J = False
        a.n = False  # nothing was due behind the last message

    def publish(a, b, c, retain=False, qos=1):
        """As of a Publisher."""
        a.n = False
        super().publish(b, c, retain, qos)

    def report(a, b, c=None):
        """As of a Publisher."""
        a.n = False
        super().report(b, c)

    def al(a):
        """Publish no discovery: what the broker retains is still right."""
        a.q = False

    def aj(a):
        """Whether all that is known has been published in this connection, with its discovery where that is to be."""
        if not (a.K and a.H and a.n) or a.ak:
            return False
        for b in a.s:
            if not b.u:
                return False
        for c in a.e:
            if c.phase != (4 if c.g.online else 2):
                return False
            if c.values is not None and c.values.u():
                return False
        if not a.q:
            return True
        if a.U is not None or a.X is not None:
            return False
        # of a BMS that does not respond nothing more is known: a wake must not wait for it
        d = bool([e for e in a.e if e.g.online])
        return a.ah if d else a.J

    def t(a):
        """Whether each sensor has a value, and subscribers have it."""
        return not [b for b in a.s if b is not a._bank and not b.t()]

    def W(a, b):
        """What Home Assistant has just discovered has received nothing yet: the chip must not sleep before all comes again."""
        super().W(b)
        if a.U is None and a.X is None:
            a.H = False

    def ao(b):
        """Publish why there is data or not, that the bridge sleeps, and its batteries that are online; then nothing any more.

        All with QoS 1: the PUBACK of the last message says that all before it have been received.
        """
        b.d = None
        c = []
        for d in b.e:
            e = b.ad + "/" + d.battery.key + "/connection"
            c.append((e, a(d.g.bE.text), b.retain, 1))
        c += [f.Y.message('sleeping') for f in b.e if f.phase == 4]
        c.append(b.ab[0].message('sleeping'))
        b.L = c
        b.h = True

    @property
    def ai(a):
        """Whether the last of these messages has been given away."""
        return a.L is not None and not a.L

    def poll(a, b):
        """The next message, see Publisher.poll."""
        c = a.L
        if c is None:
            d = super().poll(b)
            if d is not None:
                a.n = False
            return d
        a.h = len(c) > 1
        return c.pop(0) if c else None

    def f(a, b):
        c = super().f(b)
        if c is None:
            a.n = True
        return c

    def O(a, b):
        if not a.q:
            return None
        c = super().O(b)
        d = [e for e in a.s if not e.s()]
        a.J = c is None and not d
        a.ah = a.J and a.I()
        return c

    def _(a, b):
        c = super()._(b)
        if c is not None:
            a.H = True
        return c


class b(v):
    """An MqttClient that can say goodbye. The arguments are those of an MqttClient."""

    def __init__(t, *u, **v):
        super().__init__(*u, **v)
        t.z = False

    def aA(a):
        """What may be retained and must not is cleared behind the next connection: nothing else here asks for it."""
        a.z = True

    def aq(a, b):
        super().aq(b)
        if a.z:
            a.z = False
            a.ay.extend(a.a_)

    @property
    def aC(a):
        """Whether all that the publisher has given has been sent, and acknowledged where that is to be."""
        return a.connected and not (a.M or a.t or a.ay or a.H)

    def aE(a):
        """End the connection without a last will, and make no other one until the next start. `has_left`: when it is done."""
        a.J = a.connected = False
        if a._pool.d is not None:
            a._pool.d.Q()
            try:
                a._pool.d.send(b'\xe0\x00')
            except u:  # it is lost: there is nobody to tell
                a._pool.close()

    def aD(a):
        """Whether the broker has received that, as it has closed the connection; or there is none."""
        b = a._pool.d
        if b is None:
            return True
        b.Q()
        try:
            if b.J():  # a command that comes now is too late
                a.g.loop(0)
        except u:
            a._pool.close()
            return True
        return False
