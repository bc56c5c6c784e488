using System.Text;

namespace RbeMl.Tests.Cli;

/// <summary>An output that tells of every write before it takes it.</summary>
internal sealed class WatchedWriter(Action<string> before) : StringWriter
{
    public override Encoding Encoding => Encoding.UTF8;

    public override void Write(char value) => Write(value.ToString());

    public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

    public override void Write(string? value)
    {
        before(value ?? "");
        base.Write(value);
    }

    public override void WriteLine(string? value) => Write(value + NewLine);
}
