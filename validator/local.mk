# validator: see HACKING.md
