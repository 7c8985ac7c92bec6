package main

// flagNumber is the value of a flag, and the least that means something.
type flagNumber struct {
	flag         string
	value, least int64
}

// checkNumbers refuses numbers that mean nothing. The rooms below would take them for "the default", or for no limit.
func checkNumbers(all ...flagNumber) error {
	for _, n := range all {
		switch {
		case n.value >= n.least:
		case n.least == 0:
			return usagef("--%s is %d, want 0 or more", n.flag, n.value)
		default:
			return usagef("--%s must be more than 0", n.flag)
		}
	}
	return nil
}
