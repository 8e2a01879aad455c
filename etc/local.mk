# etc: see HACKING.md
