"""What several processes on several hosts may use together: a vendor's rates, divided by leased shares."""
