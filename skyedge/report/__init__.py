"""Result files as a page, plots and Markdown tables. It reads results and never measures."""
