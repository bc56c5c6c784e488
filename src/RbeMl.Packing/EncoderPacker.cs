using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Packing;

/// <summary>
/// Compresses the encoder in a package's library: trellis of four bits, calibrated on sentences of the SDK's documentation, its word
/// embeddings too.
/// </summary>
internal static class EncoderPacker
{
    private const int Windows = 192, WindowTokens = 32, Characters = 400_000;

    /// <summary>How matrices and words are stored.</summary>
    public static RbeOptions Options { get; } = new() { Format = RbeFormat.Trellis(4) };

    /// <summary>Compresses.</summary>
    /// <param name="library">The library of the package.</param>
    /// <param name="output">The <c>.rbe</c> file.</param>
    /// <returns>Its bytes.</returns>
    /// <exception cref="RbeException">The library holds no encoder, or the file cannot be written.</exception>
    public static long Pack(string library, string output)
    {
        string folder = Directory.CreateTempSubdirectory("rbeml-pack-").FullName;
        try
        {
            string onnx = Path.Combine(folder, "model.onnx");
            PackageResources.Extract(library, "Resources.model.onnx", onnx);
            PackageResources.Extract(library, "Resources.vocab.txt", Path.Combine(folder, "vocab.txt"));
            using OnnxModelFile file = OnnxModelFile.Open(onnx);
            WordPieceTokenizer tokenizer = file.Tokenizer ?? throw new RbeFileException(onnx,
                file.TokenizerProblem ?? "has no vocabulary beside it.");

            // What outputs are worth would double the time of the build for vectors that are hardly nearer.
            CompressionRequest request = new()
            {
                Options = Options,
                Embeddings = Options,
                Calibration = CalibrationOf(tokenizer),
                WeighOutputs = false,
            };
            CompressedModel model = ModelCompressor.Compress(file, request);

            // all-MiniLM-L6-v2 is published with the mean over the tokens, vectors of length 1, and 256 tokens.
            EncoderSettings settings = new() { Pooling = Pooling.Mean, Normalize = true, MaxTokens = 256 };
            ModelFile.Save(output, model.Weights with { Encoder = settings }, tokenizer, model.Reports);
            return new FileInfo(output).Length;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Windows that begin and end as sequences of the model do, of the part of the documentation that no test embeds.</summary>
    internal static IReadOnlyList<int[]> CalibrationOf(WordPieceTokenizer tokenizer)
    {
        string[] sentences = SdkDocumentation.Load(Characters, validationFraction: 0.2).Train.Split('\n');
        int[] stream = [.. sentences.SelectMany(sentence => tokenizer.Encode(sentence)).Take(Windows * WindowTokens)];
        return [.. stream.Chunk(WindowTokens).Where(part => part.Length == WindowTokens).Select(part => tokenizer.Sequence(part))];
    }
}
