using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// What the metadata of a <c>.rbe</c> file call its content, and what people call it. The kind says which parts there are, and nothing of the architecture of a
/// model: that of models is named after the first that there was.
/// </summary>
internal static class ContentKind
{
    public const string Model = "rbeml-gpt2", Classifier = "rbeml-classifier", Matrices = "rbeml-matrices", Block = "rbeml-block",
        Delta = "rbeml-delta";

    private static readonly Dictionary<string, (string Word, string Phrase)> s_kinds = new(StringComparer.Ordinal)
    {
        [Model] = ("model", "a model"),
        [Classifier] = ("classifier", "a classifier"),
        [Matrices] = ("matrices", "a set of matrices"),
        [Block] = ("block", "a block"),
        [Delta] = ("delta", "a delta"),
    };

    /// <summary>The word of a kind in results; one that this version does not know stays as it is.</summary>
    public static string Word(string kind) => s_kinds.TryGetValue(kind, out var known) ? known.Word : kind;

    /// <summary>A kind in a message; one that this version does not know is quoted.</summary>
    public static string Describe(string kind) => s_kinds.TryGetValue(kind, out var known) ? known.Phrase : $"\"{kind}\"";

    /// <summary>Whether a file is whole and holds this kind; false for any other file.</summary>
    public static bool IsIn(string file, string kind)
    {
        try
        {
            using RbeContainer container = RbeContainer.Open(file);
            return new JsonFields(file, "metadata", container.Metadata).Text("kind") == kind;
        }
        catch (RbeFileException)
        {
            return false;
        }
    }

    /// <summary>Refuses a file of another kind.</summary>
    /// <param name="metadata">The file's.</param>
    /// <param name="needed">The kind.</param>
    /// <param name="mend">What to give.</param>
    /// <exception cref="RbeFileException">It is of another kind.</exception>
    public static void Require(JsonFields metadata, string needed, string mend)
    {
        if (metadata.Text("kind") is var kind && kind != needed)
        {
            throw new RbeFileException(metadata.Path, $"holds {Describe(kind)}, {Describe(needed)} is needed. {mend}");
        }
    }
}
