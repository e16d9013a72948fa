"""A vendor's rates, which several processes on several hosts use together: divided by leased shares."""
