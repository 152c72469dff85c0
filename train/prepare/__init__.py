"""Scripts that prepare the trainers' inputs once."""
