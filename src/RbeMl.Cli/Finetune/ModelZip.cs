using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Models.Files;
using RbeMl.Text;

namespace RbeMl.Cli.Finetune;

/// <summary>The trained model as a model of ML.NET: perplexity and continuation of a text, or the perplexity of token ids where there is no tokenizer.</summary>
internal static class ModelZip
{
    /// <summary>Saves it, as a whole or not at all.</summary>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void Save(string path, Gpt2Model<float> model, ITokenizer? tokenizer, ulong seed)
    {
        MLContext ml = new();
        IDataView rows = tokenizer is null ? ml.Data.LoadFromEnumerable<TokenRow>([]) : ml.Data.LoadFromEnumerable<TextRow>([]);
        LanguageModelTransformer transformer = ml.Rbe.LanguageModel(new LanguageModelOptions
        {
            TextColumnName = tokenizer is null ? nameof(TokenRow.Tokens) : nameof(TextRow.Text),
            GeneratedTextColumnName = tokenizer is null ? null : "GeneratedText",
            Model = new Gpt2Bundle(model, tokenizer),
            Epochs = 0,
            Seed = (int)(seed & int.MaxValue),
        }).Fit(rows);
        ml.Rbe.Save(transformer, rows.Schema, path);
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
