package cwlocal

// This file makes the service's errors: type, HTTP status and JSON.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// apiError is an answer other than 200.
type apiError struct {
	status  int
	code    string // the error type, such as "ResourceNotFoundException"
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d): %s", e.code, e.status, e.message) }

// json returns the body of the answer, in AWS JSON 1.1.
func (e *apiError) json() []byte {
	// Strings never fail to encode.
	b, _ := marshal(map[string]string{"__type": e.code, "message": e.message})
	return b
}

// asAPIError returns err as the client sees it. Any error that is not an apiError is this
// endpoint's fault.
func asAPIError(err error) *apiError {
	var api *apiError
	if errors.As(err, &api) {
		return api
	}
	return &apiError{http.StatusInternalServerError, "InternalFailure", err.Error()}
}

func invalid(format string, a ...any) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidParameterException", fmt.Sprintf(format, a...)}
}

func serialization(format string, a ...any) *apiError {
	return &apiError{http.StatusBadRequest, "SerializationException", fmt.Sprintf(format, a...)}
}

func noGroup() *apiError {
	return &apiError{http.StatusBadRequest, "ResourceNotFoundException", "The specified log group does not exist."}
}

func noStream() *apiError {
	return &apiError{http.StatusBadRequest, "ResourceNotFoundException", "The specified log stream does not exist."}
}

func exists(what string) *apiError {
	return &apiError{http.StatusBadRequest, "ResourceAlreadyExistsException", "The specified " + what + " already exists"}
}

func tooManyTags() *apiError {
	return &apiError{http.StatusBadRequest, "TooManyTagsException", fmt.Sprintf("a resource can have no more than %d tags.", maxTags)}
}

func throttled() *apiError {
	return &apiError{http.StatusBadRequest, "ThrottlingException", "Rate exceeded"}
}

// marshal encodes an answer. It does not escape "<", ">" and "&", because nothing here is HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// unmarshal decodes the body of an operation into its struct.
func unmarshal(body []byte, op any) error {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return serialization("the body is not a JSON object")
	}
	if err := json.Unmarshal(body, op); err != nil {
		return serialization("the body cannot be read: %v", err)
	}
	return nil
}
