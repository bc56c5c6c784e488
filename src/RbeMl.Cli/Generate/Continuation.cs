using System.Globalization;
using System.Text;
using RbeMl.Models;

namespace RbeMl.Cli.Generate;

/// <summary>A text as it is generated: shown part by part, and kept.</summary>
/// <param name="output">Where it is shown; null for nowhere.</param>
internal sealed class Continuation(TextWriter? output)
{
    private readonly StringBuilder _text = new();

    /// <summary>What was generated.</summary>
    public string Text => _text.ToString();

    /// <summary>Its tokens.</summary>
    public IReadOnlyList<int> Tokens { get; private set; } = [];

    /// <summary>Why it ended.</summary>
    public FinishReason? Finish { get; private set; }

    /// <summary>Shows what is continued.</summary>
    public void Begin(string prompt) => output?.Write(prompt);

    /// <summary>Generates text.</summary>
    public void Add(TextGenerator generator, int[] prompt, GenerationOptions options, CancellationToken cancel)
    {
        Show(generator.Generate(prompt, options, cancel));
        (Tokens, Finish) = (generator.Tokens, generator.Finish);
    }

    /// <summary>Generates ids.</summary>
    public void Add(Generator generator, int[] prompt, GenerationOptions options, CancellationToken cancel)
    {
        List<int> tokens = [];
        Tokens = tokens;
        Show(generator.Generate(prompt, options, cancel).Select(id =>
        {
            tokens.Add(id);
            return (tokens.Count > 1 ? " " : "") + id.ToString(CultureInfo.InvariantCulture);
        }));
        Finish = generator.Finish;
    }

    // Cancelled, what there is is the result.
    private void Show(IEnumerable<string> parts)
    {
        try
        {
            foreach (string part in parts)
            {
                _text.Append(part);
                output?.Write(part);
                output?.Flush();
            }
        }
        catch (OperationCanceledException)
        {
            // Finish says so.
        }

        output?.WriteLine();
    }
}
