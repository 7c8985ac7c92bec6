package text

import (
	"bytes"
	"math"
)

// ParseSeconds reads a time in seconds, a decimal number with a fraction or an exponent if it likes, as the millisecond in which it lies: by its digits, as a float times a thousand may
// fall short of the millisecond that is written. What is beyond 64 bits becomes the largest or smallest number, or its neighbour; false is for what is no decimal number.
func ParseSeconds[T string | []byte](s T) (ms int64, ok bool) {
	i, negative := 0, false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		i, negative = 1, s[0] == '-'
	}
	begin, digits, fraction, point := i, 0, 0, false
	for ; i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' && !point); i++ {
		switch {
		case s[i] == '.':
			point = true
		case point:
			fraction++
			fallthrough
		default:
			digits++
		}
	}
	exponent, ok := parseExponent(s[i:])
	if digits == 0 || !ok {
		return 0, false
	}
	// So many of the digits, and zeros behind them, are of whole milliseconds.
	whole, rest := digits-fraction+exponent+3, false
	for n, k := begin, 0; n < i; n++ {
		if s[n] == '.' {
			continue
		}
		if k < whole {
			ms = appendDigit(ms, s[n])
		} else if s[n] != '0' {
			rest = true
		}
		k++
	}
	for k := digits; k < whole && ms > 0 && ms < math.MaxInt64; k++ {
		ms = appendDigit(ms, '0')
	}
	if !negative {
		return ms, true
	}
	if rest && ms < math.MaxInt64 {
		ms++
	}
	return -ms, true
}

// parseExponent reads what is behind the digits; it is bounded, as any number of digits is less than its bounds.
func parseExponent[T string | []byte](s T) (n int, ok bool) {
	if len(s) == 0 {
		return 0, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s = s[1:]
	negative := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if len(s) == 0 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int(c-'0'), 1<<30)
	}
	if negative {
		n = -n
	}
	return n, true
}

// appendDigit appends a digit to a number, which stays the largest once it is.
func appendDigit(n int64, c byte) int64 {
	d := int64(c - '0')
	if n > (math.MaxInt64-d)/10 {
		return math.MaxInt64
	}
	return n*10 + d
}

// sampleTime is the time of a line of OpenMetrics that begins with a series: behind its value, with one space before each.
func sampleTime(line, series []byte) []byte {
	_, value, _ := bytes.Cut(line[min(len(line), len(series)):], []byte{' '})
	_, at, _ := bytes.Cut(value, []byte{' '})
	at, _, _ = bytes.Cut(at, []byte{' '})
	return at
}

// exemplarTime is the time of the exemplar of a line that has such: its last word.
func exemplarTime(line []byte) []byte { return line[bytes.LastIndexByte(line, ' ')+1:] }
