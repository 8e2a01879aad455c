# docs: see HACKING.md
