"""Report pages in a real browser, and the pages that tests look at."""
