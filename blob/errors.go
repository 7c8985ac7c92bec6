package blob

import (
	"errors"
	"fmt"

	"github.com/varvedb/varve/model"
)

// ErrDenied marks calls that the store refused for lack of permission (401, 403). On reads it comes together with
// model.ErrNotFound; the package documentation says why and who has to look.
var ErrDenied = errors.New("permission denied")

// IsDenied reports whether the store refused the call for lack of permission.
func IsDenied(err error) bool { return errors.Is(err, ErrDenied) }

// DeniedRead gives drivers the error of a refused read, which is both ErrDenied and model.ErrNotFound.
func DeniedRead(detail string) error {
	return fmt.Errorf("%w or %w: %s", ErrDenied, model.ErrNotFound, detail)
}
