# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""On a CircuitPython board: prints the battery once a second. TX and RX go to the BMS's UART socket, through an isolator."""

import time

import board
import busio
from daly_bms import DalyBms

uart = busio.UART(board.TX, board.RX, baudrate=9600, timeout=0, receiver_buffer_size=512)
bms = DalyBms(uart)
due = time.monotonic()
while True:
    bms.update()  # often: it sends, receives, and returns at once
    if time.monotonic() >= due:
        due += 1
        if bms.soc is None:
            print("No value:", bms.diagnosis)
        else:
            print(f"{bms.text('soc')} %, {bms.text('pack_voltage')} V, {bms.text('current')} A, cells {bms.cell_voltages}")
    time.sleep(0.005)
