# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Starts the firmware; everything else is in app/."""

# pytest imports pdb, which imports a standard module named `code`: this file must do nothing then
if __name__ == "__main__":
    from app.crash import restart, run

    def start():
        """The import is here so that one that fails is handled as well."""
        from app.main import main

        return main()

    restart(run(start))
