# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""On a PC with a serial adapter: python daly_simpletest_pc.py /dev/ttyUSB0 (Windows: COM3). pip install daly-bms[serial]"""

import sys
import time

import serial
from daly_bms import DalyBms

bms = DalyBms(serial.Serial(sys.argv[1], 9600, timeout=0))
due = time.monotonic()
while True:
    bms.update()  # often: it sends, receives, and returns at once
    if time.monotonic() >= due:
        due += 1
        if bms.soc is None:
            print("No value:", bms.diagnosis, flush=True)
        else:
            print(f"{bms.soc} %, {bms.voltage} V, {bms.current} A, cells {bms.cell_voltages}, alarms {bms.alarms}", flush=True)
    time.sleep(0.005)
