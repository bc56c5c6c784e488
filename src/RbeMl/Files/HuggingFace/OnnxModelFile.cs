namespace RbeMl.Files;

/// <summary>
/// A BERT encoder in an ONNX file, opened and checked. Tokenizer, pooling and prompts come from the files of a Hugging Face folder beside
/// it, or in the folder above, where its exporters put it in a folder of its own; a <c>vocab.txt</c> is enough, and then vectors are means
/// over the tokens, of length 1.
/// </summary>
public sealed class OnnxModelFile : BertModelFolder
{
    /// <summary>How such files' names end.</summary>
    public const string Extension = ".onnx";

    private readonly OnnxEncoder _encoder;

    private OnnxModelFile(OnnxEncoder encoder, string folder)
        : base(encoder.Path, folder, encoder.Config, encoder.TokenTypes, encoder.Read) => _encoder = encoder;

    /// <summary>Opens a file and checks everything but the values of the weights.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">
    /// It is no ONNX file, damaged, of another kind of model, rounded, or a weight is missing or of another shape than the others say; or a
    /// file beside it is damaged or asks for what is not computed here.
    /// </exception>
    public static OnnxModelFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string folder = FolderOf(path), configuration = System.IO.Path.Combine(folder, Gpt2ConfigJson.FileName);
        int? heads = File.Exists(configuration) ? BertConfigJson.Read(configuration).Config.Heads : null;
        OnnxEncoder encoder = OnnxEncoder.Open(path, heads);
        try
        {
            encoder.RequireShapes(BertTensorNames.All(encoder.Config, encoder.TokenTypes));
            return new OnnxModelFile(encoder, folder);
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <summary>Whether a path names such a file.</summary>
    public static bool IsNamed(string path) => path.EndsWith(Extension, StringComparison.OrdinalIgnoreCase) && !Directory.Exists(path);

    /// <inheritdoc/>
    public override void Dispose() => _encoder.Dispose();

    // The folder of the tokenizer: its own, or the one above.
    private static string FolderOf(string path)
    {
        string own = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        string? above = System.IO.Path.GetDirectoryName(own);
        return above is not null && !Holds(own) && Holds(above) ? above : own;

        static bool Holds(string folder) => File.Exists(System.IO.Path.Combine(folder, BertTokenizerFiles.VocabularyName))
            || File.Exists(System.IO.Path.Combine(folder, Gpt2TokenizerFiles.JsonName));
    }
}
