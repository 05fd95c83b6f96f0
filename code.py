"""Starts the firmware; everything else is in app/."""

# pytest imports pdb, which imports a standard module named `code`: this file must do nothing then
if __name__ == "__main__":
    from app.main import main

    main()
