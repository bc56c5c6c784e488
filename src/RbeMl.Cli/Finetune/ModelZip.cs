using System.Buffers.Binary;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// The trained model as a model of ML.NET: perplexity and continuation of a text, or the perplexity of token ids where there is no
/// tokenizer.
/// </summary>
internal static class ModelZip
{
    // What ML.NET's assemblies and code take: 12 MiB were measured.
    private const long RuntimeBytes = 20 << 20;

    /// <summary>
    /// Whether saving keeps the process below so many bytes: ML.NET and a copy of the model come to what is resident. Frees first what is
    /// not used.
    /// </summary>
    public static bool Fits(TransformerModel<float> model, long limitBytes)
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return Environment.WorkingSet + RuntimeBytes + (3 * ModelSize.Of(model).Bytes) <= limitBytes;
    }

    /// <summary>Saves it, as a whole or not at all, with the run as the archive's comment, which ML.NET does not look at.</summary>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void Save(string path, TransformerModel<float> model, ITokenizer? tokenizer, ulong seed, RunMark mark)
    {
        MLContext ml = new();
        IDataView rows = tokenizer is null ? ml.Data.LoadFromEnumerable<TokenRow>([]) : ml.Data.LoadFromEnumerable<TextRow>([]);
        LanguageModelTransformer transformer = ml.Rbe.LanguageModel(new LanguageModelOptions
        {
            TextColumnName = tokenizer is null ? nameof(TokenRow.Tokens) : nameof(TextRow.Text),
            GeneratedTextColumnName = tokenizer is null ? null : "GeneratedText",
            Model = new ModelBundle(model, tokenizer),
            Epochs = 0,
            Seed = (int)(seed & int.MaxValue),
        }).Fit(rows);
        AtomicFile.Write(path, stream =>
        {
            ml.Model.Save(transformer, rows.Schema, stream);
            Comment(stream, RunMixture.ZipComment(mark));
        });
    }

    // An archive ends with the length of its comment (u16, 0 as ML.NET writes it) and the comment.
    private static void Comment(Stream archive, string comment)
    {
        byte[] text = Encoding.ASCII.GetBytes(comment), length = new byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(length, (ushort)text.Length);
        archive.Seek(-length.Length, SeekOrigin.End);
        archive.Write(length);
        archive.Write(text);
    }

    private sealed class TextRow
    {
        public string Text { get; set; } = "";
    }

    private sealed class TokenRow
    {
        [VectorType]
        public int[] Tokens { get; set; } = [];
    }
}
