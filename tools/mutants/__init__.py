# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Mutation testing: small changes are made to the board's code, and the fast half of the tests must notice each of them.

Why a tool of our own: mutmut 3 changes only the inside of undecorated functions, so no constant, no table, no class attribute
and no property, and those are what must be pinned here. cosmic-ray changes the files of the work tree in place, starts a new
test process for every mutant and runs all tests each time: days on two cores.

operators.py  which changes there are           probes.py     which test executes which statement
selection.py  which tests can notice a change   runner.py     runs those tests, in forks
report.py     the results kept, and docs/MUTANTS.md
"""
