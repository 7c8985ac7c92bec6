package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/query"
)

// expressions is the parser of both engines.
var expressions = query.NewParser()

// overRange are the functions of a range; integral twice, since promqlsmith never asks for it.
var overRange = []string{
	"rate", "increase", "delta", "irate", "idelta", "changes", "resets", "deriv",
	"avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time", "first_over_time",
	"present_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "mad_over_time", "absent_over_time",
	"predict_linear", "double_exponential_smoothing", "ts_of_max_over_time", "ts_of_min_over_time", "ts_of_first_over_time", "ts_of_last_over_time",
	"integral", "integral",
}

// aggregations are those of series; the last ones, others, are of less interest.
var aggregations = []string{"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio"}

const others = 3

// shaper makes queries of the shapes that people ask for, and of what surrounds them.
type shaper struct {
	data *dataset
	rng  *rand.Rand
	// function is what the next range is given to.
	function    string
	aggregation int
}

func newShaper(d *dataset, rng *rand.Rand, number int) *shaper {
	return &shaper{data: d, rng: rng, function: overRange[number%len(overRange)], aggregation: number / len(overRange)}
}

// expr is a query of the shaper's function, inside of one of many things.
func (s *shaper) expr() string {
	shapes := []func() string{
		s.ranged, s.grouped, s.grouped, s.grouped, s.ofSelector, s.nested, s.betweenGroups, s.betweenGroups, s.either, s.either, s.either, s.either, s.either, s.ofOperator,
		s.histogramQuantile, s.sorted, s.relabelled, s.matched, s.subquery, s.scalars, s.wrapped, s.vector,
	}
	return shapes[s.rng.IntN(len(shapes))]()
}

func (s *shaper) pick(from ...string) string { return from[s.rng.IntN(len(from))] }

func (s *shaper) chance(percent int) bool { return s.rng.IntN(100) < percent }

// metric is a metric, mostly one with several series of floats.
func (s *shaper) metric() string {
	if s.chance(60) {
		return s.pick("requests_total", "errors_total", "bytes_total", "temperature", "memory_ratio", "up", "latency_seconds_bucket", "weird")
	}
	return s.pick(s.data.names...)
}

// selector is a metric with matchers that most often leave something.
func (s *shaper) selector(metric string) string {
	var all []string
	of := s.data.metrics[metric]
	ls := s.data.series[of[s.rng.IntN(len(of))]].labels
	ls.Range(func(l labels.Label) {
		if l.Name != metricName && s.chance(25) {
			all = append(all, s.matcher(l))
		}
	})
	if s.chance(3) {
		all = append(all, s.pick(`absent=""`, `absent!="x"`, `job=""`, `zone=""`, `zone!=""`, `job=~".*"`, `job=~".+"`, `instance!~"a-.*"`, `code=~"2..|5.."`))
	}
	name := metric
	switch {
	case strings.Contains(metric, "."):
		name, all = "", append(all, strconv.Quote(metric))
	case s.chance(4):
		name, all = "", append(all, fmt.Sprintf("__name__=%q", metric))
	case s.chance(3):
		name, all = "", append(all, fmt.Sprintf(`__name__=~"%s|up|nothing"`, metric))
	}
	if len(all) == 0 {
		return name
	}
	return name + "{" + strings.Join(all, ",") + "}"
}

func (s *shaper) matcher(l labels.Label) string {
	quoted := strconv.Quote
	name := l.Name
	if strings.Contains(name, ".") {
		name = quoted(name)
	}
	head := strings.ReplaceAll(l.Value[:len(l.Value)/2], "+", `\+`)
	switch s.rng.IntN(6) {
	case 0:
		return name + "!=" + quoted(l.Value+"x")
	case 1:
		return name + "=~" + quoted(head+".*")
	case 2:
		return name + "!~" + quoted(head+"|nothing")
	case 3:
		return name + "=~" + quoted("nothing|.*"+strings.ReplaceAll(l.Value[len(l.Value)/2:], "+", `\+`))
	}
	return name + "=" + quoted(l.Value)
}

// modifiers are an offset, a fixed time, or mostly neither.
func (s *shaper) modifiers() string {
	m := ""
	if s.chance(12) {
		m += " offset " + s.pick("15s", "1m", "-30s", "7m", "1ms", "-5m")
	}
	if s.chance(6) {
		t := dataFrom + s.rng.Int64N(dataTo-dataFrom)
		m += " @ " + s.pick("start()", "end()", fmt.Sprintf("%d.%03d", t/1000, t%1000))
	}
	return m
}

// instant is a selector at a time.
func (s *shaper) instant() string { return s.selector(s.metric()) + s.modifiers() }

func (s *shaper) rangeOf() string {
	return s.pick("[1ms]", "[14s]", "[15s]", "[30s]", "[1m]", "[1m]", "[90s]", "[2m]", "[2m]", "[4m]", "[5m]", "[5m]", "[7m30s]", "[20m]")
}

// apply calls a function of a range.
func (s *shaper) apply(function, arg string) string {
	switch function {
	case "quantile_over_time":
		return fmt.Sprintf("%s(%s, %s)", function, s.quantile(), arg)
	case "predict_linear":
		return fmt.Sprintf("%s(%s, %s)", function, arg, s.pick("60", "-30", "3600"))
	case "double_exponential_smoothing":
		return fmt.Sprintf("%s(%s, %s, %s)", function, arg, s.pick("0.1", "0.5"), s.pick("0.3", "0.9"))
	}
	return function + "(" + arg + ")"
}

func (s *shaper) quantile() string {
	return s.pick("0.5", "0.9", "0.99", "0", "1", "0.25", "-0.1", "1.5", "NaN")
}

// ranged is the function of a range; asked again, another one.
func (s *shaper) ranged() string {
	return s.ofMetric(s.metric())
}

// ofMetric is the function of a range of this metric.
func (s *shaper) ofMetric(metric string) string {
	f := s.function
	s.function = overRange[s.rng.IntN(len(overRange))]
	if s.chance(6) {
		s.function = s.pick("predict_linear", "quantile_over_time") // promqlsmith gives them arguments that are not constant
	}
	return s.apply(f, s.selector(metric)+s.rangeOf()+s.modifiers())
}

// labelNames are what one groups by and matches on.
func (s *shaper) labelNames() string {
	all := []string{"job", "instance", "zone", "code", "le", "kind", "version", "absent", "form"}
	if s.chance(10) {
		all = append(all, "__name__")
	}
	s.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	n := 1 + s.rng.IntN(2)
	if s.chance(70) && !slices.Contains(all[:n], "job") {
		all[0] = s.pick("job", "instance")
	}
	return strings.Join(all[:n], ", ")
}

func (s *shaper) grouping() string {
	switch s.rng.IntN(5) {
	case 0, 1:
		return " by (" + s.labelNames() + ") "
	case 2, 3:
		return " without (" + s.labelNames() + ") "
	}
	return s.pick("", " by () ", " without () ")
}

func (s *shaper) aggregate(arg string) string {
	op := aggregations[s.aggregation%len(aggregations)]
	s.aggregation = s.rng.IntN(len(aggregations) - others)
	return s.aggregateWith(op, arg, s.grouping())
}

func (s *shaper) aggregateWith(op, arg, grouping string) string {
	param := ""
	switch op {
	case "topk", "bottomk", "limitk":
		param = s.pick("1", "2", "3", "5", "5", "7", "0", "100") + ", "
	case "quantile":
		param = s.quantile() + ", "
	case "limit_ratio":
		param = s.pick("0.5", "-0.3", "1") + ", "
	case "count_values":
		param = s.pick(`"value", `, `"job", `)
	}
	return op + grouping + "(" + param + arg + ")"
}

func (s *shaper) grouped() string    { return s.aggregate(s.ranged()) }
func (s *shaper) ofSelector() string { return s.aggregate(s.instant()) }
func (s *shaper) nested() string {
	return s.aggregate(s.aggregateWith(s.pick("sum", "max", "min", "avg", "count", "stddev"), s.ranged(), " by (job, instance, code) "))
}

// operator is one between vectors.
func (s *shaper) operator() string {
	switch op := s.pick("+", "-", "*", "/", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<="); op {
	case "==", "!=", ">", "<", ">=", "<=":
		return " " + op + s.pick(" ", " bool ")
	default:
		return " " + op + " "
	}
}

// betweenGroups is an operator between two aggregates of the same metric by the same labels, as in a ratio of errors.
func (s *shaper) betweenGroups() string {
	grouping := " by (" + s.labelNames() + ") "
	metric := s.metric()
	sum := func() string {
		return s.aggregateWith(s.pick("sum", "sum", "avg", "max", "min", "count", "group", "stddev", "stdvar", "quantile"), s.ofMetric(metric), grouping)
	}
	op := s.operator()
	if s.chance(15) {
		op = s.pick(" and ", " or ", " unless ")
	} else if s.chance(10) {
		op = op + s.pick("fill(0) ", "fill_left(1) ", "fill_right(-1) ")
	}
	return sum() + op + sum()
}

// either are two or three queries in one.
func (s *shaper) either() string {
	one := s.aggregate(s.ranged()) + s.pick(" or ", " or ", " unless ", " + ", " and ") + s.aggregate(s.ranged())
	if s.chance(50) {
		return one + " or " + s.ranged()
	}
	return one
}

// ofOperator aggregates what an operator gives.
func (s *shaper) ofOperator() string {
	metric := s.metric()
	right := s.pick("2", "0.5", "0", "-1", "Inf", "NaN", s.selector(metric), s.ofMetric(metric))
	return s.aggregate(s.ofMetric(metric) + s.operator() + right)
}

func (s *shaper) histogramQuantile() string {
	metric, keep := "latency_seconds_bucket", " by (le) "
	if s.chance(15) {
		metric = "native_latency"
	}
	switch s.rng.IntN(4) {
	case 0:
		keep = " by (job, le) "
	case 1:
		keep = " without (instance, zone) "
	}
	of := s.apply(s.pick("rate", "increase", "rate", "irate", "delta"), s.selector(metric)+s.rangeOf()+s.modifiers())
	if s.chance(10) {
		of = s.selector(metric)
	}
	if s.chance(80) {
		of = s.aggregateWith(s.pick("sum", "sum", "sum", "avg", "max"), of, keep)
	}
	if s.chance(10) {
		return "histogram_fraction(0.1, 1, " + of + ")"
	}
	return "histogram_quantile(" + s.quantile() + ", " + of + ")"
}

func (s *shaper) sorted() string {
	f := s.pick("sort", "sort_desc", "sort_by_label", "sort_by_label_desc")
	arg := s.ranged()
	if s.chance(60) {
		arg = s.aggregate(arg)
	}
	if strings.HasPrefix(f, "sort_by") {
		return fmt.Sprintf("%s(%s, %q)", f, arg, s.pick("job", "instance", "code"))
	}
	return f + "(" + arg + ")"
}

func (s *shaper) relabelled() string {
	arg := s.ranged()
	if s.chance(50) {
		arg = s.instant()
	}
	if s.chance(40) {
		arg = fmt.Sprintf(`label_join(%s, "%s", "-", "job", "instance", "code")`, arg, s.pick("joined", "__name__", "zone"))
	} else {
		arg = fmt.Sprintf(`label_replace(%s, "%s", "$1x", "%s", "(.*).")`, arg, s.pick("new", "__name__", "job"), s.pick("instance", "__name__", "code"))
	}
	if s.chance(50) {
		return s.aggregateWith(s.pick("sum", "max", "count"), arg, s.pick(" by (__name__) ", " by (new, joined) ", " by (job, code) "))
	}
	return arg
}

// matched is an operator with vector matching.
func (s *shaper) matched() string {
	switch s.rng.IntN(6) {
	case 0:
		return s.ofMetric("errors_total") + " / on (job, instance) group_right (zone) " + s.ofMetric("requests_total")
	case 1:
		return s.ofMetric("requests_total") + s.operator() + "on (instance) group_left (version) " + `target_info{version="1.1"}`
	case 2:
		return s.ofMetric("memory_ratio") + s.operator() + "ignoring (zone) " + s.ofMetric("temperature")
	case 3:
		return s.ofMetric("requests_total") + " / ignoring (code) group_left () " + s.aggregateWith("sum", s.ofMetric("requests_total"), " without (code) ")
	case 4:
		return s.ranged() + s.pick(" and ", " or ", " unless ") + "on (job, instance) " + s.instant()
	}
	return s.ofMetric("temperature") + s.operator() + "on (instance, job) " + s.aggregateWith("sum", s.ofMetric("bytes_total"), " by (instance, job) ")
}

func (s *shaper) subquery() string {
	inner := s.ranged()
	if s.chance(40) {
		inner = s.aggregateWith(s.pick("sum", "max", "avg"), inner, " by (job) ")
	}
	window := s.pick("[2m:30s]", "[3m:15s]", "[2m:]", "[5m:1m]", "[1m:7s]")
	f := s.pick("max_over_time", "avg_over_time", "rate", "sum_over_time", "last_over_time", "count_over_time", "quantile_over_time", "deriv")
	return s.apply(f, inner+window+s.modifiers())
}

func (s *shaper) scalars() string {
	one := s.ranged()
	switch s.rng.IntN(6) {
	case 0:
		return "scalar(sum(" + one + "))"
	case 1:
		return "vector(scalar(max(" + one + ")))" + s.operator() + s.pick("1", "time()")
	case 2:
		return s.pick("absent", "-", "+") + "(" + s.aggregate(one) + ")"
	case 3:
		return "absent(" + s.instant() + ")"
	case 4:
		return s.pick("1", "0", "-2.5") + s.pick(" + ", " / ", " ^ ", " < bool ", " > ") + one
	}
	return s.aggregateWith("topk", one, s.grouping()) + s.operator() + "scalar(count(" + s.instant() + "))"
}

// wrapped are functions of vectors.
func (s *shaper) wrapped() string {
	f := s.pick("abs(%s)", "ceil(%s)", "sqrt(%s)", "ln(%s)", "exp(%s)", "sgn(%s)", "clamp(%s, 0, 10)", "clamp_min(%s, 1)", "round(%s, 0.5)", "(%s)", "-(%s)", "-%s",
		"timestamp(%s)", "hour(%s)", "(((%s)))", "deg(%s)")
	arg := s.ranged()
	switch s.rng.IntN(3) {
	case 0:
		arg = s.instant()
	case 1:
		arg = s.aggregate(arg)
	}
	wrapped := fmt.Sprintf(f, arg)
	if s.chance(40) {
		return s.aggregate(wrapped)
	}
	return wrapped
}

func (s *shaper) vector() string { return s.instant() }
