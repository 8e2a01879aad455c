# server: see HACKING.md
