# server/auth: see HACKING.md
