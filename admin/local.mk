# admin: see HACKING.md
