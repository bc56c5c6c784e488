using RbeMl.Codec;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>What <see cref="DenseExport.Write"/> wrote.</summary>
/// <param name="Kind">What the compressed file holds: a word of <see cref="ContentKind"/>.</param>
/// <param name="Tensors">Tensors written.</param>
/// <param name="Bytes">Bytes of the tensors.</param>
/// <param name="Tokenizer">Whether a tokenizer was written.</param>
/// <param name="LostTokenizer">The name of a tokenizer that the output has no place for; null when none was lost.</param>
internal sealed record DenseExportResult(string Kind, int Tensors, long Bytes, bool Tokenizer, string? LostTokenizer)
{
    /// <summary>Kind of model, as <c>model_type</c> names it; null when it is none.</summary>
    public string? Architecture { get; init; }

    /// <summary>Why the model's tokenizer could not be read and is not written; null when it was, or there is none.</summary>
    public string? TokenizerProblem { get; init; }
}

/// <summary>Writes a compressed file as dense weights, one matrix decoded at a time.</summary>
internal static class DenseExport
{
    private const string Extension = ".safetensors";

    /// <summary>Writes the dense weights of a model or of a set of matrices.</summary>
    /// <param name="path">The <c>.rbe</c> file, or the folder that <c>finetune</c> wrote.</param>
    /// <param name="output">
    /// A <c>.safetensors</c> file, or, for a model, any other name: a folder in Hugging Face's layout. A model's tensors have Hugging Face's names, those of a
    /// set the names they were compressed under; its dense tensors keep their type and bytes.
    /// </param>
    /// <param name="element">Type of the decoded weights: F32, F16 or BF16.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="RbeFileException">The file is damaged or of another kind, or the output cannot be written.</exception>
    /// <exception cref="InvalidSettingException">The output does not suit the kind of file.</exception>
    /// <exception cref="NonFiniteException">A weight is beyond the range of the element type.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; nothing is written.</exception>
    public static DenseExportResult Write(string path, string output, SafetensorsElement element = SafetensorsElement.F32, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(output);
        path = ModelSource.FileOf(path);
        using RbeContainer file = RbeContainer.Open(path);
        string kind = new JsonFields(path, "metadata", file.Metadata).Text("kind");
        bool single = output.EndsWith(Extension, StringComparison.OrdinalIgnoreCase);
        return kind switch
        {
            RbeMatrixSet.Kind when !single =>
                throw new InvalidSettingException("output", output,
                    $"{path} is a set of matrices, which is written as one file: give a name that ends in {Extension}."),
            RbeMatrixSet.Kind => WriteSet(file, output, element, cancel),
            _ => WriteModel(file, output, single, element, cancel), // its reader names other kinds
        };
    }

    private static DenseExportResult WriteModel(RbeContainer file, string output, bool single, SafetensorsElement element, CancellationToken cancel)
    {
        (TransformerWeights weights, ITokenizer? tokenizer, string? problem) = ModelFile.LoadWeights(file, new RbeLoadOptions());
        cancel.ThrowIfCancellationRequested();
        ModelFolderKind kind = ModelFolders.Of(weights.Config);
        List<SafetensorsSource> sources = kind.Sources(weights, element);
        string? lost = tokenizer is null || single ? "" : kind.KeepsTokenizer(tokenizer);
        bool kept = tokenizer is not null && lost is null;
        if (lost is { Length: > 0 }) problem = lost;
        if (single) WriteFile(output, sources, cancel);
        else kind.Save(output, weights, kept ? tokenizer : null, element, cancel);
        return new DenseExportResult(ContentKind.Word(ContentKind.Model), sources.Count, sources.Sum(s => s.ByteLength), kept, kept || tokenizer is null ? null
            : Describe(tokenizer))
        { Architecture = kind.ModelType, TokenizerProblem = problem };
    }

    private static string Describe(ITokenizer tokenizer) => tokenizer switch
    {
        ByteTokenizer => "bytes",
        CharacterTokenizer => "characters",
        WordPieceTokenizer => "word pieces",
        _ => "byte pairs",
    };

    private static DenseExportResult WriteSet(RbeContainer file, string output, SafetensorsElement element, CancellationToken cancel)
    {
        RbeMatrixSet set = RbeMatrixSet.Of(file);
        List<SafetensorsSource> sources = [];
        foreach (string name in set.Names)
        {
            cancel.ThrowIfCancellationRequested();
            RbeMatrix matrix = set.ReadMatrix(name);
            sources.Add(SafetensorsSource.From(name, () => FiniteSearch.Require(name, set.ReadMatrix(name).ToDense()), [matrix.Rows, matrix.Columns], element));
        }

        foreach (RbeDenseInfo dense in set.DenseTensors)
        {
            if (!SafetensorsElements.TryParse(dense.Type, out SafetensorsElement type))
            {
                throw new RbeFileException(file.Path,
                    $"its dense tensor \"{dense.Name}\" has type {dense.Type}, which safetensors files do not have. Read it with RbeMatrixSet.CopyDense.");
            }

            sources.Add(SafetensorsSource.From(dense.Name, type, [.. dense.Shape], sink => set.ReadDense(dense.Name, sink)));
        }

        WriteFile(output, sources, cancel);
        return new DenseExportResult(ContentKind.Word(RbeMatrixSet.Kind), sources.Count, sources.Sum(s => s.ByteLength), false, null);
    }

    private static void WriteFile(string output, List<SafetensorsSource> sources, CancellationToken cancel) =>
        SafetensorsWriter.Write(output, sources, new Dictionary<string, string> { ["format"] = "pt" }, cancel);
}
