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

// ParseSelectors reads what FormatSelectors wrote, or a person: at least one selector, which may match everything. The error wraps model.ErrInvalid.
func ParseSelectors(text string) ([][]*labels.Matcher, error) {
	var out [][]*labels.Matcher
	for line := range strings.SplitSeq(text, "\n") {
		matchers, err := ParseSelector(line)
		if err != nil {
			return nil, err
		}
		out = append(out, matchers)
	}
	return out, nil
}

// ParseSelector reads one selector, which may have line breaks. The error wraps model.ErrInvalid.
func ParseSelector(text string) ([]*labels.Matcher, error) {
	matchers, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
	if err != nil {
		return nil, fmt.Errorf("selector %.200q: %w: %w", text, err, model.ErrInvalid)
	}
	return matchers, nil
}
