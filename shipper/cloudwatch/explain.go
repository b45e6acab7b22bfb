package cloudwatch

// This file puts an error into words: the noun, the cause, the next step, on one line.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	smithy "github.com/aws/smithy-go"
	"go.uber.org/zap"

	"perstack-shipper/shipper/logfield"
)

// Explain describes err to a person: what it concerns, what went wrong, what to do. The text is one
// line without control characters, of at most about 700 bytes. action is the name of the call
// (PutLogEvents, with or without "logs:"; "" for the one recorded in err), and stream its log
// stream or "".
func (c *Client) Explain(err error, action, stream string) string {
	if err == nil {
		return ""
	}
	cause, remedy := c.Diagnose(err, action, stream)
	line := fmt.Sprintf("log group %q in %s: %s", c.group, c.region, cause)
	if remedy != "" {
		line += "; " + remedy
	}
	return oneLine(line, 700)
}

// LogFields returns what Explain's sentence names as fields: group, Region, action, stream, and the
// service's error code or the HTTP status.
func (c *Client) LogFields(err error, action, stream string) []zap.Field {
	fields := []zap.Field{logfield.Group(c.group), logfield.Region(c.region)}
	action = strings.TrimPrefix(action, "logs:")
	if call, ok := errors.AsType[*callError](err); ok && action == "" {
		action = call.action
	}
	for _, field := range []zap.Field{zap.String("action", action), logfield.Stream(stream), zap.String("code", errorCode(err))} {
		if field.String != "" {
			fields = append(fields, field)
		}
	}
	if status := httpStatus(err); status != 0 {
		fields = append(fields, zap.Int("status", status))
	}
	return fields
}

// Diagnose returns Explain's sentence in two parts, without the group: what went wrong, and what to
// do, which may be "".
func (c *Client) Diagnose(err error, action, stream string) (cause, remedy string) {
	call, _ := errors.AsType[*callError](err)
	if call == nil {
		call = &callError{err: err, reached: true}
	}
	action = strings.TrimPrefix(action, "logs:")
	if action == "" {
		action = call.action
	}
	cause, remedy = c.diagnose(err, call, action, stream)
	return oneLine(cause, 600), oneLine(remedy, 400)
}

func (c *Client) diagnose(err error, call *callError, action, stream string) (cause, remedy string) {
	code, message := errorCode(err), oneLine(serviceMessage(err), 300)
	if message != "" {
		message = " (" + message + ")"
	}
	what := code
	if status := httpStatus(err); what == "" && status != 0 {
		what = fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))
	}
	on := " on " + qualified(action)
	if stream != "" {
		on += fmt.Sprintf(" for stream %q", stream)
	}

	switch class := Classify(err); class {
	case Stopped:
		return "stopped" + on, ""
	case Credentials:
		if role, ok := errors.AsType[*roleError](err); ok {
			return role.diagnose()
		}
		if cred, ok := errors.AsType[*credentialsError](err); ok {
			return "no AWS credentials (" + cred.reason() + ")", cred.remedy()
		}
		return what + on + message, "renew the credentials, and check this machine's clock"
	case Denied:
		return what + " on " + qualified(action) + " for " + c.arn(action, stream) + message, deniedRemedy(action, code)
	case Missing:
		return what + on + message, c.missingRemedy()
	case Throttled:
		return what + on + message, c.again("if it lasts, request a higher quota for logs:" + action + " in Service Quotas")
	case Refused:
		return what + on + message, c.refusedRemedy(action)
	case Accepted, Again:
		return what + on + message, ""
	}
	return c.diagnoseRetry(err, call, what, on, message)
}

// qualified returns an action as IAM writes it.
func qualified(action string) string {
	if action == "GetCallerIdentity" {
		return "sts:" + action
	}
	return "logs:" + action
}

func deniedRemedy(action, code string) string {
	remedy := "allow it (" + policyOf(action) + ")"
	switch action {
	case "CreateLogStream":
		remedy += " or create the stream"
	case "CreateLogGroup":
		remedy += " or create the group"
	}
	if code == "" {
		remedy += "; the answer has no AWS error code, so a proxy may have refused: check HTTPS_PROXY and NO_PROXY"
	}
	return remedy
}

// policyOf returns the file in this repository with the policy that allows an action.
func policyOf(action string) string {
	if strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "Filter") || strings.HasPrefix(action, "Describe") {
		return "deploy/iam-policy-read.json"
	}
	return "deploy/iam-policy.json"
}

func (c *Client) missingRemedy() string {
	switch c.use {
	case Reading:
		return "check --log-group, --region and --profile: nothing has been shipped under that name there, or it was deleted"
	case Filling:
		return "create the log group and the stream, because --no-create forbids creating them here"
	}
	return "it was just created; if this lasts, something deletes it"
}

func (c *Client) refusedRemedy(action string) string {
	switch {
	case c.use == Reading:
		return "check the names of the group and stream; only a log group of class STANDARD can be read back"
	case action == "PutLogEvents":
		return "the service does not accept the batch or an event in it"
	case action == "CreateLogGroup" && c.kmsKeyID != "":
		return "check the group's name and its KMS key: the key's policy must allow logs." + c.region + ".amazonaws.com"
	}
	return "check the names of the group and stream"
}

// again returns the remedy for a failure that may pass. lasts is what to do if it does not.
func (c *Client) again(lasts string) string {
	remedy := "this usually passes"
	if c.use == Reading { // the reading commands have retried for a while before they report it
		remedy = "try again later"
	}
	if lasts != "" {
		remedy += "; " + lasts
	}
	return remedy
}

// diagnoseRetry describes errors of class Retry, most of which are the network's.
func (c *Client) diagnoseRetry(err error, call *callError, what, on, message string) (cause, remedy string) {
	transport := call.transport
	if transport == nil {
		transport = err
	}
	reason := oneLine(transport.Error(), 300)
	if cause, remedy := diagnoseProxy(transport); cause != "" {
		return cause, remedy
	}
	if dns, ok := errors.AsType[*net.DNSError](transport); ok {
		return fmt.Sprintf("%s cannot be found: no address for %s (%s)", c.where(), dns.Name, dns.Err), c.nameRemedy()
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](transport); ok {
		return fmt.Sprintf("the certificate of %s is not trusted (%s)", c.where(), reason), "check --endpoint-url, or set AWS_CA_BUNDLE to this network's certificate authority"
	}
	switch {
	case !call.reached && !call.answered && call.action != "":
		if call.timeout > 0 {
			reason = fmt.Sprintf("no connection within %s", call.timeout)
		}
		return fmt.Sprintf("%s cannot be reached (%s)", c.where(), reason),
			"check --endpoint-url, security groups and routes: a private subnet needs a NAT or a VPC endpoint for logs"
	case call.timeout > 0:
		return fmt.Sprintf("no answer from %s within %s%s", c.where(), call.timeout, on), c.again("")
	case foreign(err):
		if f, ok := errors.AsType[*foreignError](err); ok {
			what += " with " + f.why
		}
		return fmt.Sprintf("%s is not CloudWatch Logs: it answered %s%s", c.where(), what, on), "check --endpoint-url and the proxy"
	case what != "":
		return what + on + message, c.again("")
	}
	return fmt.Sprintf("the call to %s failed%s (%s)", c.where(), on, reason), c.again("")
}

// nameRemedy returns what to do about an endpoint whose name has no address.
func (c *Client) nameRemedy() string {
	if c.endpoint == "" {
		for _, variant := range []string{"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"} {
			if os.Getenv(variant) != "" {
				return "check this network's DNS and --region: not every Region has the endpoint that " + variant + " selects"
			}
		}
	}
	return "check the name (--region, --endpoint-url) and this network's DNS"
}

// Reason says what went wrong in a few words: the service's code and message, else the network's
// error.
func Reason(err error) string {
	code, message := errorCode(err), serviceMessage(err)
	if foreign, ok := errors.AsType[*foreignError](err); ok {
		return foreign.Error()
	}
	switch status := httpStatus(err); {
	case code != "" && message != "":
		return oneLine(code+": "+message, 300)
	case code != "":
		return code
	case status != 0:
		return fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))
	}
	if call, ok := errors.AsType[*callError](err); ok && call.transport != nil {
		err = call.transport
	}
	return oneLine(err.Error(), 300)
}

// Endpoint returns the address that calls go to.
func (c *Client) Endpoint() string {
	if c.endpoint != "" {
		return c.endpoint
	}
	return "CloudWatch Logs in " + c.region
}

// where returns the address that calls go to, with its host name.
func (c *Client) where() string {
	if c.endpoint != "" {
		return c.endpoint
	}
	return "CloudWatch Logs (logs." + c.region + ")"
}

// arn returns the resource on which an IAM policy allows an action.
func (c *Client) arn(action, stream string) string {
	account := c.credentials.account()
	if account == "" {
		account = "*"
	}
	partition := "aws"
	switch {
	case strings.HasPrefix(c.region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(c.region, "us-gov-"):
		partition = "aws-us-gov"
	}
	arn := fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s", partition, c.region, account, c.group)
	switch action {
	case "CreateLogGroup", "PutRetentionPolicy", "TagResource":
		return arn
	case "DescribeLogStreams", "FilterLogEvents":
		return arn + ":*"
	case "DescribeLogGroups":
		return strings.TrimSuffix(arn, c.group) + "*"
	}
	return arn + ":log-stream:" + stream
}

// serviceMessage returns the message that the service sent with its code.
func serviceMessage(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != unknownCode {
		return api.ErrorMessage()
	}
	return ""
}

// oneLine makes s fit on one line of a log. Control characters become spaces, invalid UTF-8 becomes
// U+FFFD, and s is cut between characters if it is longer than most bytes.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
