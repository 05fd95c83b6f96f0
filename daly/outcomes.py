# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What protocols tell the poller: codes of all of them."""

# What a byte completes: `feed` of a protocol
NOTHING = 0
FRAME = 1  # a frame of the response; more are expected
RESPONSE = 2  # the response is over
ECHO = 3  # our own request
UNEXPECTED = 4  # a good frame that is no response to the open request
DAMAGED = 5  # as long as a frame and begun like one, but its checksum is wrong

# What a response amounts to: `store` of a protocol
ACCEPTED = 0
UNCONFIRMED = 1  # something must be confirmed by the next one
EMPTY = 2  # no answer: all zero, all FF, or impossible
