# client: see HACKING.md
