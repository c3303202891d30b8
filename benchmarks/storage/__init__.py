"""What a run leaves behind, and what is kept between runs."""
