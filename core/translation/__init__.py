"""One conversation made fit for another format: names, turns, reasoning, content."""
