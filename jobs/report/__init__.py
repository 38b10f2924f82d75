"""One self-contained HTML page from plain data: tables, charts and examples, whatever they report on."""
