"""Starts the firmware; everything else is in app/."""

# pytest imports pdb, which imports a standard module named `code`: this file must do nothing then
if __name__ == "__main__":
    from app.crash import guard

    def start():
        """Imported only here, so that the guard also sees an import that fails."""
        from app.main import main

        main()

    guard(start)
