using System.Text;

namespace RbeMl.Cli;

/// <summary>Writes texts as <see cref="PlainText"/>.</summary>
/// <param name="inner">Where they go.</param>
internal sealed class PlainWriter(TextWriter inner) : TextWriter(System.Globalization.CultureInfo.InvariantCulture)
{
    /// <inheritdoc/>
    public override Encoding Encoding => inner.Encoding;

    /// <inheritdoc/>
    public override void Write(char value) => inner.Write(PlainText.Clean(value.ToString()));

    /// <inheritdoc/>
    public override void Write(string? value) => inner.Write(PlainText.Clean(value ?? ""));

    /// <inheritdoc/>
    public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<char> buffer) => Write(buffer.ToString());

    /// <inheritdoc/>
    public override void WriteLine(string? value) => inner.WriteLine(PlainText.Clean(value ?? ""));

    /// <inheritdoc/>
    public override void Flush() => inner.Flush();
}
