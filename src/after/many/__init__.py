"""Many tasks at once, through documents and views alone, so that it is the same on either engine."""
