using System.Globalization;
using System.Text;

namespace RbeMl.Cli;

/// <summary>Writes what can be written: for what is only shown while the work goes on, which it must not end.</summary>
/// <param name="inner">Where it goes.</param>
internal sealed class ForgivingWriter(TextWriter inner) : TextWriter(CultureInfo.InvariantCulture)
{
    /// <inheritdoc/>
    public override Encoding Encoding => inner.Encoding;

    /// <inheritdoc/>
    public override void Write(char value) => Try(() => inner.Write(value));

    /// <inheritdoc/>
    public override void Write(string? value) => Try(() => inner.Write(value));

    /// <inheritdoc/>
    public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

    /// <inheritdoc/>
    public override void Flush() => Try(inner.Flush);

    private static void Try(Action write)
    {
        try
        {
            write();
        }
        catch (IOException)
        {
            // What is written at the end of the work reports it.
        }
    }
}
