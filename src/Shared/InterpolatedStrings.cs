using System.Globalization;
using System.Text;

namespace System.Runtime.CompilerServices;

/// <summary>
/// What the compiler makes interpolated strings with, in place of the runtime's type of this name: numbers are written in the invariant culture,
/// so that a message reads the same on every host. Compiled into each assembly under src; a call that names a culture (<c>string.Create</c>) is not concerned.
/// </summary>
[InterpolatedStringHandler]
internal ref struct DefaultInterpolatedStringHandler
{
    private readonly StringBuilder _text;
    private StringBuilder.AppendInterpolatedStringHandler _handler;

    public DefaultInterpolatedStringHandler(int literalLength, int formattedCount)
    {
        const int Hole = 11; // the runtime's guess for a value
        _text = new StringBuilder(literalLength + (Hole * formattedCount));
        _handler = new StringBuilder.AppendInterpolatedStringHandler(literalLength, formattedCount, _text, CultureInfo.InvariantCulture);
    }

    public void AppendLiteral(string value) => _handler.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _handler.AppendFormatted(value);

    public void AppendFormatted<T>(T value, string? format) => _handler.AppendFormatted(value, format);

    public void AppendFormatted<T>(T value, int alignment) => _handler.AppendFormatted(value, alignment);

    public void AppendFormatted<T>(T value, int alignment, string? format) => _handler.AppendFormatted(value, alignment, format);

    public void AppendFormatted(ReadOnlySpan<char> value) => _handler.AppendFormatted(value);

    public void AppendFormatted(ReadOnlySpan<char> value, int alignment = 0, string? format = null) => _handler.AppendFormatted(value, alignment, format);

    public void AppendFormatted(string? value) => _handler.AppendFormatted(value);

    public void AppendFormatted(string? value, int alignment = 0, string? format = null) => _handler.AppendFormatted(value, alignment, format);

    public void AppendFormatted(object? value, int alignment = 0, string? format = null) => _handler.AppendFormatted(value, alignment, format);

    public readonly string ToStringAndClear() => _text.ToString();
}
