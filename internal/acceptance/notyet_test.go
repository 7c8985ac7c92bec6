package acceptance

// notYet names the cases that do not pass, file:line, and why.
var notYet = map[string]string{}
