package catalog

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varvedb/varve/model"
)

// FormatSelectors writes selectors as Tombstone.Matchers holds them: one a line, in PromQL's syntax. A line break within a value is escaped there.
func FormatSelectors(selectors [][]*labels.Matcher) string {
	lines := make([]string, len(selectors))
	for i, matchers := range selectors {
		texts := make([]string, len(matchers))
		for j, m := range matchers {
			texts[j] = m.String()
		}
		lines[i] = "{" + strings.Join(texts, ",") + "}"
	}
	return strings.Join(lines, "\n")
}

// ParseSelectors reads what FormatSelectors wrote, or a person: at least one selector, each with a matcher that does not match the
// empty string. The error wraps model.ErrInvalid.
func ParseSelectors(text string) ([][]*labels.Matcher, error) {
	p := parser.NewParser(parser.Options{})
	var out [][]*labels.Matcher
	for line := range strings.SplitSeq(text, "\n") {
		matchers, err := p.ParseMetricSelector(line)
		if err != nil {
			return nil, fmt.Errorf("selector %.200q: %w: %w", line, err, model.ErrInvalid)
		}
		out = append(out, matchers)
	}
	return out, nil
}
