"""Virtual machines over Resource Manager: their state, restore points, and what is made of them."""
